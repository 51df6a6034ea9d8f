// The real part of a complex field, and the pullback.
//
// Twin of `RealPart` in `crates/wavelet/src/operators/pointwise.rs`.
//
// Layouts, the map innermost: complex [number][re, im][map], real [number][map].

/// Sizes of one field.
struct RealPartSizes {
    /// Complex numbers a map.
    numbers: u32,
    /// Maps of the batch, padding included.
    maps: u32,
}

@group(0) @binding(0) var<uniform> sizes: RealPartSizes;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> destination: array<f32>;

fn flat(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.x + id.y * groups.x * 64u;
}

// real = Re z.
@compute @workgroup_size(64)
fn forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let index = flat(id, groups);
    if index >= sizes.numbers * sizes.maps {
        return;
    }
    destination[index] = source[2u * (index / sizes.maps) * sizes.maps + index % sizes.maps];
}

// Re z gradient += real gradient.
@compute @workgroup_size(64)
fn pullback(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let index = flat(id, groups);
    if index >= sizes.numbers * sizes.maps {
        return;
    }
    destination[2u * (index / sizes.maps) * sizes.maps + index % sizes.maps] += source[index];
}
