// Prelude: invocation.
//
// A real sparse matrix applied to every channel, and its transpose.
//
// Twin of `crates/wavelet/src/operators/gather.rs`: the entries of a row are summed in
// the same order with fused multiply-adds. The pullback reads the transposed table.
//
// Layouts: fields [row][number], re and im of all maps; the entries of row i are
// offsets[i] .. offsets[i + 1], their columns are columns[entry].

/// Sizes of one product.
struct GatherSizes {
    /// Rows of the result.
    rows: u32,
    /// Numbers of a row, re and im of all channels and maps.
    width: u32,
}

@group(0) @binding(0) var<uniform> sizes: GatherSizes;
@group(0) @binding(1) var<storage, read> offsets: array<u32>;
@group(0) @binding(2) var<storage, read> columns: array<u32>;
@group(0) @binding(3) var<storage, read> weights: array<real>;
@group(0) @binding(4) var<storage, read> source: array<real>;
@group(0) @binding(5) var<storage, read_write> destination: array<real>;

// y = matrix · x.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.rows * sizes.width {
        return;
    }
    let row = index / sizes.width;
    let number = index % sizes.width;
    var sum: real = 0.0;
    for (var entry = offsets[row]; entry < offsets[row + 1u]; entry++) {
        sum = fma(weights[entry], source[columns[entry] * sizes.width + number], sum);
    }
    destination[index] = sum;
}

// x gradient += matrixᵀ · y gradient.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.rows * sizes.width {
        return;
    }
    let row = index / sizes.width;
    let number = index % sizes.width;
    var sum = destination[index];
    for (var entry = offsets[row]; entry < offsets[row + 1u]; entry++) {
        sum = fma(weights[entry], source[columns[entry] * sizes.width + number], sum);
    }
    destination[index] = sum;
}
