// Prelude: invocation, term, moments.
//
// The variance of each coefficient within a group of maps, against a target.
//
// Twin of `crates/emulator/src/loss/variance.rs`. Maps are taken relative to the first
// of them, so that a mean far from zero costs no digits of the variance.
//
// Columns: target, what f32 leaves of it, the inverse scale, and that of a squared
// residual.

// scale·((variance − target)/unit)², and its gradient added: one coefficient of a group.
@compute @workgroup_size(64)
fn evaluate(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.coefficients * sizes.groups {
        return;
    }
    let own = coefficient(index);
    let first = statistic[own.start];
    let origin = vec2(first, mean_of(own.start, 1.0, vec2(first, 0.0)));
    let variance = mean_square_of(own.start, 1.0, origin);
    let residual = ((variance - own.column.x) - own.column.y) * own.column.z;
    contributions[own.row] = own.column.w * residual * residual;
    let slope = 4.0 * own.column.w * residual * own.column.z / real(sizes.maps);
    for (var map = 0u; map < sizes.maps; map++) {
        let at = own.start + map;
        gradient[at] = fma(slope, relative(at, 1.0, origin), gradient[at]);
    }
}
