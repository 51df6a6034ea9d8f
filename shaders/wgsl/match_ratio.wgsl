// Prelude: invocation, term.
//
// Mean over spread of each coefficient within a group of maps, against a target.
//
// Twin of `crates/emulator/src/loss/ratio.rs`. A ratio has no unit: maps are divided by
// the largest of them, so that no square of a small spectrum leaves the range of f32.
//
// Layout: columns [coefficient][group].

// Target, what f32 leaves of it, the scale of a squared residual (0: left out), nothing.
@group(0) @binding(1) var<storage, read> columns: array<vec4<real>>;

// scale·(mean/spread − target)², and its gradient added: one coefficient of one group.
@compute @workgroup_size(64)
fn evaluate(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.coefficients * sizes.groups {
        return;
    }
    let row = sizes.first * sizes.groups + index;
    let column = columns[row];
    let start = index * sizes.stride;
    contributions[row] = 0.0;
    if column.z == 0.0 {
        return;
    }
    var peak: real = 0.0;
    for (var map = 0u; map < sizes.maps; map++) {
        peak = max(peak, abs(statistic[start + map]));
    }
    let unit = select(1.0 / peak, 1.0, peak == 0.0);
    let n = real(sizes.maps);
    var sum: real = 0.0;
    for (var block = 0u; block < sizes.maps; block += 8u) {
        var part: real = 0.0;
        for (var map = block; map < min(block + 8u, sizes.maps); map++) {
            part += statistic[start + map] * unit;
        }
        sum += part;
    }
    let mean = sum / n;
    var squares: real = 0.0;
    for (var block = 0u; block < sizes.maps; block += 8u) {
        var part: real = 0.0;
        for (var map = block; map < min(block + 8u, sizes.maps); map++) {
            let x = statistic[start + map] * unit - mean;
            part = fma(x, x, part);
        }
        squares += part;
    }
    let variance = squares / n;
    // No scatter; a variance that is not a number goes on, to be seen.
    if variance <= 0.0 {
        return;
    }
    let spread = sqrt(variance);
    let residual = (mean / spread - column.x) - column.y;
    contributions[row] = column.z * residual * residual;
    let slope = 2.0 * column.z * residual / (n * spread) * unit;
    let pull = mean / variance;
    for (var map = 0u; map < sizes.maps; map++) {
        let x = statistic[start + map] * unit - mean;
        gradient[start + map] += slope * (1.0 - pull * x);
    }
}
