// The product of two real fields, and the pullbacks.
//
// Twin of `RealProduct` in `crates/scattering/src/operators.rs`.

/// Sizes of one product.
struct RealProductSizes {
    /// Real numbers of all maps.
    numbers: u32,
}

@group(0) @binding(0) var<uniform> sizes: RealProductSizes;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> destination: array<f32>;

fn flat(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.x + id.y * groups.x * 64u;
}

// destination = a·b.
@compute @workgroup_size(64)
fn forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let index = flat(id, groups);
    if index >= sizes.numbers {
        return;
    }
    destination[index] = a[index] * b[index];
}

// destination += a·b, where a is the cotangent and b the other field.
@compute @workgroup_size(64)
fn pullback(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let index = flat(id, groups);
    if index >= sizes.numbers {
        return;
    }
    destination[index] += a[index] * b[index];
}
