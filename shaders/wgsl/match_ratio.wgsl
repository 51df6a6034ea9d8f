// Prelude: invocation, term, moments.
//
// Mean over spread of each coefficient within a group of maps, against a target.
//
// Twin of `crates/emulator/src/loss/ratio.rs`. A ratio has no unit: maps are divided by
// the largest of them, so that no square of a small spectrum leaves the range of f32.
//
// Columns: target, what f32 leaves of it, the scale of a squared residual (0: left
// out), nothing.

// scale·(mean/spread − target)², and its gradient added: one coefficient of one group.
@compute @workgroup_size(64)
fn evaluate(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.coefficients * sizes.groups {
        return;
    }
    let own = coefficient(index);
    contributions[own.row] = 0.0;
    if own.column.z == 0.0 {
        return;
    }
    var peak: real = 0.0;
    for (var map = 0u; map < sizes.maps; map++) {
        peak = max(peak, abs(statistic[own.start + map]));
    }
    let unit = select(1.0 / peak, 1.0, peak == 0.0);
    let mean = mean_of(own.start, unit, vec2(0.0, 0.0));
    let origin = vec2(0.0, mean);
    let variance = mean_square_of(own.start, unit, origin);
    // No scatter; a variance that is not a number goes on, to be seen.
    if variance <= 0.0 {
        return;
    }
    let spread = sqrt(variance);
    let residual = (mean / spread - own.column.x) - own.column.y;
    contributions[own.row] = own.column.z * residual * residual;
    let slope = 2.0 * own.column.z * residual / (real(sizes.maps) * spread) * unit;
    let pull = mean / variance;
    for (var map = 0u; map < sizes.maps; map++) {
        let at = own.start + map;
        gradient[at] += slope * (1.0 - pull * relative(at, unit, origin));
    }
}
