// From a point and a direction to the variables of a program, and its gradient back.
//
// Twin of `set_sum` in `crates/autodiff/src/optimise/vector.rs`, and of the padding of
// `load` and `store` in `crates/autodiff/src/program.rs`.
//
// Layouts, the map innermost: vectors [row][map] without padding; padded variables
// [row][group][map], the maps of a group padded to the stride.

/// Sizes of the variables of one group.
struct LineSizes {
    /// Real numbers a map.
    rows: u32,
    /// Maps of the group.
    maps: u32,
    /// Maps of a group, padding included.
    stride: u32,
    /// Groups.
    groups: u32,
    /// Which group.
    group: u32,
    /// Nothing.
    padding0: u32,
    /// Nothing.
    padding1: u32,
    /// Nothing.
    padding2: u32,
}

@group(0) @binding(0) var<uniform> sizes: LineSizes;
@group(0) @binding(1) var<storage, read> point: array<f32>;
@group(0) @binding(2) var<storage, read> direction: array<f32>;
@group(0) @binding(3) var<storage, read> steps: array<f32>;
@group(0) @binding(4) var<storage, read_write> vector: array<f32>;
@group(0) @binding(5) var<storage, read_write> padded: array<f32>;

fn flat(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.x + id.y * groups.x * 64u;
}

// vector = point + step·direction, and the same padded.
@compute @workgroup_size(64)
fn probe(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let index = flat(id, groups);
    let row = index / sizes.stride;
    let map = index % sizes.stride;
    if row >= sizes.rows {
        return;
    }
    var x = 0.0;
    if map < sizes.maps {
        let at = row * sizes.maps + map;
        x = fma(steps[sizes.group], direction[at], point[at]);
        vector[at] = x;
    }
    padded[(row * sizes.groups + sizes.group) * sizes.stride + map] = x;
}

// vector = padded, without its padding.
@compute @workgroup_size(64)
fn gather(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let at = flat(id, groups);
    if at >= sizes.rows * sizes.maps {
        return;
    }
    let row = at / sizes.maps;
    let map = at % sizes.maps;
    vector[at] = padded[(row * sizes.groups + sizes.group) * sizes.stride + map];
}
