// Prelude: invocation, quad.
//
// All oriented wavelets of one scale applied to real fields, and the pullback.
//
// Twin of `crates/wavelet/src/operators/convolve.rs`: same arguments, and the
// entries of a row are summed in the same order with fused multiply-adds.
//
// Layouts, the map innermost:
//   image      [pixel][channel][map]
//   bands      [pixel][orientation][channel][re, im][map]
//   weights    [entry][orientation][re, im]
// Rows of the table are in compressed form: the entries of row p are
// offsets[p] .. offsets[p + 1], their columns are columns[entry].
//
// The pullback reads the transposed table: columns then holds rows of the
// forward table, and entries says which weights each of them takes.

/// Sizes of one convolution.
struct ConvolveSizes {
    /// Pixels of the image and of the bands.
    pixels: u32,
    /// Real channels of the image.
    channels: u32,
    /// Oriented wavelets in the table.
    orientations: u32,
    /// Fours of maps of the batch, padding included.
    quads: u32,
}

@group(0) @binding(0) var<uniform> sizes: ConvolveSizes;
@group(0) @binding(1) var<storage, read> offsets: array<u32>;
@group(0) @binding(2) var<storage, read> columns: array<u32>;
@group(0) @binding(3) var<storage, read> entries: array<u32>;
@group(0) @binding(4) var<storage, read> weights: array<vec2<real>>;
@group(0) @binding(5) var<storage, read> source: array<quad>;
@group(0) @binding(6) var<storage, read_write> destination: array<quad>;

// bands = table · image: one complex number of four maps an invocation.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    let maps = index % sizes.quads;
    let channel = (index / sizes.quads) % sizes.channels;
    let orientation = (index / (sizes.quads * sizes.channels)) % sizes.orientations;
    let pixel = index / (sizes.quads * sizes.channels * sizes.orientations);
    if pixel >= sizes.pixels {
        return;
    }
    var re = quad();
    var im = quad();
    for (var entry = offsets[pixel]; entry < offsets[pixel + 1u]; entry++) {
        let x = source[(columns[entry] * sizes.channels + channel) * sizes.quads + maps];
        let weight = weights[entry * sizes.orientations + orientation];
        re = fma(quad(weight.x), x, re);
        im = fma(quad(weight.y), x, im);
    }
    let band = (pixel * sizes.orientations + orientation) * sizes.channels + channel;
    destination[2u * band * sizes.quads + maps] = re;
    destination[(2u * band + 1u) * sizes.quads + maps] = im;
}

// image gradient += tableᵀ · bands gradient: one real number of four maps an
// invocation, so that every sum has one owner and needs no atomics.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    let maps = index % sizes.quads;
    let channel = (index / sizes.quads) % sizes.channels;
    let pixel = index / (sizes.quads * sizes.channels);
    if pixel >= sizes.pixels {
        return;
    }
    var re = destination[index];
    var im = quad();
    for (var i = offsets[pixel]; i < offsets[pixel + 1u]; i++) {
        let row = columns[i] * sizes.orientations;
        let entry = entries[i] * sizes.orientations;
        for (var orientation = 0u; orientation < sizes.orientations; orientation++) {
            let band = (row + orientation) * sizes.channels + channel;
            let weight = weights[entry + orientation];
            re = fma(quad(weight.x), source[2u * band * sizes.quads + maps], re);
            im = fma(quad(weight.y), source[(2u * band + 1u) * sizes.quads + maps], im);
        }
    }
    destination[index] = re + im;
}
