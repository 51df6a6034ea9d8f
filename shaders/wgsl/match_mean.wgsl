// Prelude: invocation, term.
//
// The mean of each coefficient over a group of maps against a target, with its gradient.
//
// Twin of `crates/emulator/src/loss/matching.rs` and of `sum.rs` beside it. Maps are
// taken relative to the target before they are added, so that a mean near the target
// loses no digits, and in blocks of eight, so that hundreds of maps lose none either.
//
// Layout: columns [coefficient][group].

// Target, what f32 leaves of it, 1/σ, and the scale of a squared residual.
@group(0) @binding(1) var<storage, read> columns: array<vec4<real>>;

// scale·((mean − target)/σ)², and its gradient added: one coefficient of one group.
@compute @workgroup_size(64)
fn evaluate(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.coefficients * sizes.groups {
        return;
    }
    let row = sizes.first * sizes.groups + index;
    let column = columns[row];
    let start = index * sizes.stride;
    var sum: real = 0.0;
    for (var block = 0u; block < sizes.maps; block += 8u) {
        var part: real = 0.0;
        for (var map = block; map < min(block + 8u, sizes.maps); map++) {
            part += (statistic[start + map] - column.x) - column.y;
        }
        sum += part;
    }
    let n = real(sizes.maps);
    let residual = sum / n * column.z;
    contributions[row] = column.w * residual * residual;
    let slope = 2.0 * column.w * residual * column.z / n;
    for (var map = 0u; map < sizes.maps; map++) {
        gradient[start + map] += slope;
    }
}
