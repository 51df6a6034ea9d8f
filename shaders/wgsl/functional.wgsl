// Prelude: invocation, term.
//
// A fixed linear functional of a statistic, with its gradient.
//
// Twin of `Functional` in `crates/autodiff/src/check.rs`.
//
// Layout: columns [coefficient][group][map], not padded.

@group(0) @binding(1) var<storage, read> columns: array<real>;

// Σ columns·statistic over the maps, and the gradient added: one coefficient of a group.
@compute @workgroup_size(64)
fn evaluate(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.coefficients * sizes.groups {
        return;
    }
    let own = pick(index);
    var sum: real = 0.0;
    for (var map = 0u; map < sizes.maps; map++) {
        let weight = columns[own.row * sizes.maps + map];
        sum = fma(weight, statistic[own.start + map], sum);
        gradient[own.start + map] += weight;
    }
    contributions[own.row] = sum;
}
