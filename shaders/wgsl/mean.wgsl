// Prelude: invocation.
//
// Masked means of fields or of their squares, and the pullback.
//
// Twin of `crates/wavelet/src/operators/mean.rs`: parts of as many rows, summed in the
// same order with fused multiply-adds, and added by the same fixed tree.
//
// Layouts: the field [row][number], re and im of all channels and maps; weights
// [row][mask]; partials [part][mask][number]; the means [mask][number].

/// Sizes of one mean.
struct MeanSizes {
    /// Rows of the field.
    rows: u32,
    /// Numbers of a row.
    width: u32,
    /// Masks.
    masks: u32,
    /// Rows of a part.
    chunk: u32,
    /// Parts.
    parts: u32,
    /// 1 for means, 2 for means of squares.
    power: u32,
    /// Nothing.
    padding0: u32,
    /// Nothing.
    padding1: u32,
}

@group(0) @binding(0) var<uniform> sizes: MeanSizes;
@group(0) @binding(1) var<storage, read> weights: array<real>;
@group(0) @binding(2) var<storage, read> source: array<real>;
@group(0) @binding(3) var<storage, read> cotangent: array<real>;
@group(0) @binding(4) var<storage, read_write> partials: array<real>;
@group(0) @binding(5) var<storage, read_write> destination: array<real>;

// The sum of one part, mask and number.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    let number = index % sizes.width;
    let mask = (index / sizes.width) % sizes.masks;
    let part = index / (sizes.width * sizes.masks);
    if part >= sizes.parts {
        return;
    }
    let end = min((part + 1u) * sizes.chunk, sizes.rows);
    var sum: real = 0.0;
    for (var row = part * sizes.chunk; row < end; row++) {
        let x = source[row * sizes.width + number];
        var w = weights[row * sizes.masks + mask];
        if sizes.power == 2u {
            w = w * x;
        }
        sum = fma(w, x, sum);
    }
    partials[index] = sum;
}

// The parts added pairwise: left and right neighbour, then pairs of those.
@compute @workgroup_size(64)
fn finish(invocation: Invocation) {
    let index = flat(invocation);
    let block = sizes.width * sizes.masks;
    if index >= block {
        return;
    }
    for (var stride = 1u; stride < sizes.parts; stride *= 2u) {
        for (var left = 0u; left + stride < sizes.parts; left += 2u * stride) {
            partials[left * block + index] += partials[(left + stride) * block + index];
        }
    }
    destination[index] = partials[index];
}

// x gradient += w · mean gradient, times 2x for squares.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.rows * sizes.width {
        return;
    }
    let row = index / sizes.width;
    let number = index % sizes.width;
    var sum = destination[index];
    for (var mask = 0u; mask < sizes.masks; mask++) {
        let w = weights[row * sizes.masks + mask];
        let g = cotangent[mask * sizes.width + number];
        if sizes.power == 2u {
            sum = fma((w + w) * g, source[index], sum);
        } else {
            sum = fma(w, g, sum);
        }
    }
    destination[index] = sum;
}
