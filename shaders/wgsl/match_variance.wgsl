// Prelude: invocation, term.
//
// The variance of each coefficient within a group of maps, against a target.
//
// Twin of `crates/emulator/src/loss/variance.rs`. Maps are taken relative to the first
// of them, so that a mean far from zero costs no digits of the variance.
//
// Layout: columns [coefficient][group].

// Target, what f32 leaves of it, the inverse scale, and that of a squared residual.
@group(0) @binding(1) var<storage, read> columns: array<vec4<real>>;

// scale·((variance − target)/unit)², and its gradient added: one coefficient of a group.
@compute @workgroup_size(64)
fn evaluate(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.coefficients * sizes.groups {
        return;
    }
    let row = sizes.first * sizes.groups + index;
    let column = columns[row];
    let start = index * sizes.stride;
    let n = real(sizes.maps);
    let origin = statistic[start];
    var sum: real = 0.0;
    for (var block = 0u; block < sizes.maps; block += 8u) {
        var part: real = 0.0;
        for (var map = block; map < min(block + 8u, sizes.maps); map++) {
            part += statistic[start + map] - origin;
        }
        sum += part;
    }
    let mean = sum / n;
    var squares: real = 0.0;
    for (var block = 0u; block < sizes.maps; block += 8u) {
        var part: real = 0.0;
        for (var map = block; map < min(block + 8u, sizes.maps); map++) {
            let x = (statistic[start + map] - origin) - mean;
            part = fma(x, x, part);
        }
        squares += part;
    }
    let residual = ((squares / n - column.x) - column.y) * column.z;
    contributions[row] = column.w * residual * residual;
    let slope = 4.0 * column.w * residual * column.z / n;
    for (var map = 0u; map < sizes.maps; map++) {
        let x = (statistic[start + map] - origin) - mean;
        gradient[start + map] = fma(slope, x, gradient[start + map]);
    }
}
