// Prelude: invocation.
//
// The second number of S0 from ⟨x²⟩ and ⟨x⟩, and the pullbacks.
//
// Twin of `Spread` in `crates/scattering/src/operators.rs`, which works in f64.
//
// Layouts: every field [mask][number], totals [mask].

/// Sizes of one field.
struct SpreadSizes {
    /// Real numbers of all maps.
    numbers: u32,
    /// Numbers of a row.
    width: u32,
    /// 1 for the standard error, 0 for the variance.
    error: u32,
    /// 1 if the pullback is towards ⟨x⟩, 0 towards ⟨x²⟩.
    towards_mean: u32,
}

@group(0) @binding(0) var<uniform> sizes: SpreadSizes;
@group(0) @binding(1) var<storage, read> square: array<real>;
@group(0) @binding(2) var<storage, read> mean: array<real>;
@group(0) @binding(3) var<storage, read> totals: array<real>;
@group(0) @binding(4) var<storage, read> cotangent: array<real>;
@group(0) @binding(5) var<storage, read_write> destination: array<real>;

// variance, or √(|variance|/total).
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers {
        return;
    }
    var value = fma(-mean[index], mean[index], square[index]);
    if sizes.error == 1u {
        value = sqrt(abs(value) / totals[index / sizes.width]);
    }
    destination[index] = value;
}

// The gradient towards one of the two.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers {
        return;
    }
    let variance = fma(-mean[index], mean[index], square[index]);
    var outer: real = 1.0;
    if sizes.error == 1u {
        outer = 0.0;
        if variance != 0.0 {
            outer = 0.5 * sign(variance) / sqrt(abs(variance) * totals[index / sizes.width]);
        }
    }
    var inner: real = 1.0;
    if sizes.towards_mean == 1u {
        inner = -2.0 * mean[index];
    }
    destination[index] += cotangent[index] * outer * inner;
}
