// The mean of each coefficient over a group of maps against a target, with its gradient.
//
// Twin of `crates/emulator/src/loss/matching.rs` and of `sum.rs` beside it. Maps are
// taken relative to the target before they are added, so that a mean near the target
// loses no digits, and in blocks of eight, so that hundreds of maps lose none either.
//
// Layouts, the map innermost: statistic and gradient [coefficient][group][map], the
// maps of a group padded to the stride; columns and contributions [coefficient][group].

/// Sizes of one statistic of a term.
struct MatchMeanSizes {
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

@group(0) @binding(0) var<uniform> sizes: MatchMeanSizes;
// Target, what f32 leaves of it, 1/σ, and the scale of a squared residual.
@group(0) @binding(1) var<storage, read> columns: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> statistic: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(4) var<storage, read_write> contributions: array<f32>;

fn flat(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.x + id.y * groups.x * 64u;
}

// scale·((mean − target)/σ)², and its gradient added: one coefficient of one group.
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
    let column = columns[row];
    let start = index * sizes.stride;
    var sum = 0.0;
    for (var block = 0u; block < sizes.maps; block += 8u) {
        var part = 0.0;
        for (var map = block; map < min(block + 8u, sizes.maps); map++) {
            part += (statistic[start + map] - column.x) - column.y;
        }
        sum += part;
    }
    let n = f32(sizes.maps);
    let residual = sum / n * column.z;
    contributions[row] = column.w * residual * residual;
    let slope = 2.0 * column.w * residual * column.z / n;
    for (var map = 0u; map < sizes.maps; map++) {
        gradient[start + map] += slope;
    }
}
