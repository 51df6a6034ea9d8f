// Prelude: invocation.
//
// To the accepted point: the differences to it become a pair, and it takes the place.
//
// Twin of `advance` in `crates/autodiff/src/optimise/pairs.rs`, which swaps where this
// copies.

/// Sizes of the vectors.
struct AdvanceSizes {
    /// Their length.
    numbers: u32,
}

@group(0) @binding(0) var<uniform> sizes: AdvanceSizes;
@group(0) @binding(1) var<storage, read> trial: array<real>;
@group(0) @binding(2) var<storage, read> trial_gradient: array<real>;
@group(0) @binding(3) var<storage, read_write> point: array<real>;
@group(0) @binding(4) var<storage, read_write> gradient: array<real>;
@group(0) @binding(5) var<storage, read_write> s: array<real>;
@group(0) @binding(6) var<storage, read_write> y: array<real>;

// s = trial − point, y = their gradients' difference, both rounded to f32; point = trial,
// so the gradients.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let at = flat(invocation);
    if at >= sizes.numbers {
        return;
    }
    s[at] = real(f32(trial[at] - point[at]));
    y[at] = real(f32(trial_gradient[at] - gradient[at]));
    point[at] = trial[at];
    gradient[at] = trial_gradient[at];
}
