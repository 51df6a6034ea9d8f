// Prelude: invocation.
//
// The product of two real fields, and the pullbacks.
//
// Twin of `RealProduct` in `crates/scattering/src/operators.rs`.

/// Sizes of one product.
struct RealProductSizes {
    /// Real numbers of all maps.
    numbers: u32,
}

@group(0) @binding(0) var<uniform> sizes: RealProductSizes;
@group(0) @binding(1) var<storage, read> a: array<real>;
@group(0) @binding(2) var<storage, read> b: array<real>;
@group(0) @binding(3) var<storage, read_write> destination: array<real>;

// destination = a·b.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers {
        return;
    }
    destination[index] = a[index] * b[index];
}

// destination += a·b, where a is the cotangent and b the other field.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers {
        return;
    }
    destination[index] += a[index] * b[index];
}
