// Prelude: invocation.
//
// 1/√p of powers, 0 where there is none, and the pullback.
//
// Twin of `InverseRoot` in `crates/scattering/src/operators.rs`, which takes roots in
// f64.

/// Sizes of one field.
struct InverseRootSizes {
    /// Real numbers of all maps.
    numbers: u32,
}

@group(0) @binding(0) var<uniform> sizes: InverseRootSizes;
@group(0) @binding(1) var<storage, read> p: array<real>;
@group(0) @binding(2) var<storage, read> cotangent: array<real>;
@group(0) @binding(3) var<storage, read_write> destination: array<real>;

// y = 1/√p.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers {
        return;
    }
    var root: real = 0.0;
    if p[index] > 0.0 {
        root = 1.0 / sqrt(p[index]);
    }
    destination[index] = root;
}

// p gradient −= y gradient / 2p√p.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers {
        return;
    }
    if p[index] > 0.0 {
        destination[index] -= 0.5 * cotangent[index] / (p[index] * sqrt(p[index]));
    }
}
