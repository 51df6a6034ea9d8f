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
//   table      offset of each row and of the end, then the column of each entry;
//              transposed, in the pullback, a row and an entry of the first in its place

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
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<vec2<real>>;
@group(0) @binding(3) var<storage, read> source: array<quad>;
@group(0) @binding(4) var<storage, read_write> destination: array<quad>;

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
    let columns = sizes.pixels + 1u;
    var re = quad();
    var im = quad();
    for (var entry = table[pixel]; entry < table[pixel + 1u]; entry++) {
        let column = table[columns + entry];
        let x = source[(column * sizes.channels + channel) * sizes.quads + maps];
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
    let entries = sizes.pixels + 1u;
    var re = destination[index];
    var im = quad();
    for (var i = table[pixel]; i < table[pixel + 1u]; i++) {
        let row = table[entries + 2u * i] * sizes.orientations;
        let entry = table[entries + 2u * i + 1u] * sizes.orientations;
        for (var orientation = 0u; orientation < sizes.orientations; orientation++) {
            let band = (row + orientation) * sizes.channels + channel;
            let weight = weights[entry + orientation];
            re = fma(quad(weight.x), source[2u * band * sizes.quads + maps], re);
            im = fma(quad(weight.y), source[(2u * band + 1u) * sizes.quads + maps], im);
        }
    }
    destination[index] = re + im;
}
