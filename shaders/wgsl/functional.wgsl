// A fixed linear functional of a statistic, with its gradient.
//
// Twin of `Functional` in `crates/autodiff/src/check.rs`.
//
// Layouts, the map innermost: statistic and gradient [coefficient][group][map], the
// maps of a group padded to the stride; columns [coefficient][group][map], not padded;
// contributions [coefficient][group].

/// Sizes of one statistic of a term.
struct FunctionalSizes {
    /// Real coefficients of the statistic.
    coefficients: u32,
    /// First of them among those of the term.
    first: u32,
    /// Groups of maps, each with its own loss.
    groups: u32,
    /// Maps of a group.
    maps: u32,
    /// Maps of a group, padding included.
    stride: u32,
    /// Nothing.
    padding0: u32,
    /// Nothing.
    padding1: u32,
    /// Nothing.
    padding2: u32,
}

@group(0) @binding(0) var<uniform> sizes: FunctionalSizes;
@group(0) @binding(1) var<storage, read> columns: array<f32>;
@group(0) @binding(2) var<storage, read> statistic: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(4) var<storage, read_write> contributions: array<f32>;

fn flat(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.x + id.y * groups.x * 64u;
}

// Σ columns·statistic over the maps, and the gradient added: one coefficient of a group.
@compute @workgroup_size(64)
fn evaluate(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let index = flat(id, groups);
    if index >= sizes.coefficients * sizes.groups {
        return;
    }
    let row = sizes.first * sizes.groups + index;
    let start = index * sizes.stride;
    var sum = 0.0;
    for (var map = 0u; map < sizes.maps; map++) {
        let weight = columns[row * sizes.maps + map];
        sum = fma(weight, statistic[start + map], sum);
        gradient[start + map] += weight;
    }
    contributions[row] = sum;
}
