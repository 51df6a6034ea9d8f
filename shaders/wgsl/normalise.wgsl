// Prelude: invocation.
//
// Coefficients times one or two factors, and the pullbacks.
//
// Twin of `Normalise` in `crates/scattering/src/operators.rs`. Gradients of a factor are
// gathered from the coefficients that it belongs to, so that every sum has one owner.
//
// Layouts, the map innermost:
//   x, cotangent   [row][channel][part][map]
//   scales         [row][factor][map]
//   first, second  [channel]: which factors, 0xffffffff for none
//   offsets, members  of each factor: (channel, other factor)

/// Sizes of one normalisation.
struct NormaliseSizes {
    /// Rows of every field.
    rows: u32,
    /// Channels.
    channels: u32,
    /// 2 for complex coefficients, 1 for real ones.
    parts: u32,
    /// Maps of the batch, padding included.
    maps: u32,
    /// Factors.
    factors: u32,
    /// Nothing.
    padding0: u32,
    /// Nothing.
    padding1: u32,
    /// Nothing.
    padding2: u32,
}

@group(0) @binding(0) var<uniform> sizes: NormaliseSizes;
@group(0) @binding(1) var<storage, read> x: array<real>;
@group(0) @binding(2) var<storage, read> scales: array<real>;
@group(0) @binding(3) var<storage, read> first: array<u32>;
@group(0) @binding(4) var<storage, read> second: array<u32>;
@group(0) @binding(5) var<storage, read> offsets: array<u32>;
@group(0) @binding(6) var<storage, read> members: array<u32>;
@group(0) @binding(7) var<storage, read> cotangent: array<real>;
@group(0) @binding(8) var<storage, read_write> destination: array<real>;

fn factor(row: u32, which: u32, map: u32) -> real {
    if which == 0xffffffffu {
        return 1.0;
    }
    return scales[(row * sizes.factors + which) * sizes.maps + map];
}

// The product of the factors of a number of x.
fn scale(index: u32) -> real {
    let map = index % sizes.maps;
    let channel = (index / (sizes.maps * sizes.parts)) % sizes.channels;
    let row = index / (sizes.maps * sizes.parts * sizes.channels);
    return factor(row, first[channel], map) * factor(row, second[channel], map);
}

// y = x · (a b).
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.rows * sizes.channels * sizes.parts * sizes.maps {
        return;
    }
    destination[index] = x[index] * scale(index);
}

// x gradient += y gradient · (a b).
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.rows * sizes.channels * sizes.parts * sizes.maps {
        return;
    }
    destination[index] += cotangent[index] * scale(index);
}

// gradient of a factor += Σ y gradient · x · (other factor) over its coefficients.
@compute @workgroup_size(64)
fn along(invocation: Invocation) {
    let index = flat(invocation);
    let map = index % sizes.maps;
    let own = (index / sizes.maps) % sizes.factors;
    let row = index / (sizes.maps * sizes.factors);
    if row >= sizes.rows {
        return;
    }
    var sum = destination[index];
    for (var member = offsets[own]; member < offsets[own + 1u]; member++) {
        let channel = members[2u * member];
        let start = (row * sizes.channels + channel) * sizes.parts * sizes.maps + map;
        var along: real = 0.0;
        for (var part = 0u; part < sizes.parts; part++) {
            let at = start + part * sizes.maps;
            along = fma(cotangent[at], x[at], along);
        }
        sum = fma(along, factor(row, members[2u * member + 1u], map), sum);
    }
    destination[index] = sum;
}
