// sgn(x)√|x| of every real and imaginary part, and the pullback.
//
// Twin of `SignedRoot` in `crates/wavelet/src/operators/pointwise.rs`, which takes
// roots in f64; the sub-gradient at 0 is 0.

/// Sizes of one field.
struct SignedRootSizes {
    /// Real numbers of all maps.
    numbers: u32,
}

@group(0) @binding(0) var<uniform> sizes: SignedRootSizes;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> cotangent: array<f32>;
@group(0) @binding(3) var<storage, read_write> destination: array<f32>;

fn flat(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.x + id.y * groups.x * 64u;
}

// y = sgn(x)√|x|.
@compute @workgroup_size(64)
fn forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let index = flat(id, groups);
    if index >= sizes.numbers {
        return;
    }
    destination[index] = sign(x[index]) * sqrt(abs(x[index]));
}

// x gradient += y gradient / 2√|x|.
@compute @workgroup_size(64)
fn pullback(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let index = flat(id, groups);
    if index >= sizes.numbers {
        return;
    }
    let root = sqrt(abs(x[index]));
    if root > 0.0 {
        destination[index] += 0.5 * cotangent[index] / root;
    }
}
