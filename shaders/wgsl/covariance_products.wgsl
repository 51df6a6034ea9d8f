// Prelude: invocation.
//
// Covariances of the fields of one group: sums of products, a tree over parts, pairs.
//
// Twin of `crates/wavelet/src/operators/covariance/sums.rs`: rows of a part are
// summed in order with the same fused multiply-adds, and parts by a fixed tree. Parts
// have other lengths than on the CPU.
//
// Layouts, the map innermost:
//   fields     [pixel][slot][re, im][map]
//   weights    [pixel][mask]
//   factors    [sum][x, y], y = 0xffffffff for a mean
//   partials   [part][mask][sum][re, im][map]
//   picks      [channel][first, step, sum, conjugated, x, y]
//   destination [mask][channel][re, im][map]

/// Sizes of the covariances of one group.
struct CovarianceProductsSizes {
    /// Pixels.
    pixels: u32,
    /// Slots of a group.
    slots: u32,
    /// Masks.
    masks: u32,
    /// Pixels of a part.
    chunk: u32,
    /// Parts.
    parts: u32,
    /// Products of slots.
    products: u32,
    /// Means of slots: as many as slots, or none if nothing is centred.
    means: u32,
    /// Maps of the batch, padding included.
    maps: u32,
    /// The group.
    group: u32,
    /// Channels of a group.
    picked: u32,
    /// Channels of all pairs, before the means.
    pairs: u32,
    /// All channels of the result.
    channels: u32,
}

@group(0) @binding(0) var<uniform> sizes: CovarianceProductsSizes;
@group(0) @binding(1) var<storage, read> weights: array<real>;
@group(0) @binding(2) var<storage, read> source: array<real>;
@group(0) @binding(3) var<storage, read> factors: array<u32>;
@group(0) @binding(4) var<storage, read> picks: array<u32>;
@group(0) @binding(5) var<storage, read_write> partials: array<real>;
@group(0) @binding(6) var<storage, read_write> destination: array<real>;

// One sum of one part and mask: Σ w x y*, or Σ w x.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    let sums = sizes.products + sizes.means;
    let map = index % sizes.maps;
    let which = (index / sizes.maps) % sums;
    let mask = (index / (sizes.maps * sums)) % sizes.masks;
    let part = index / (sizes.maps * sums * sizes.masks);
    if part >= sizes.parts {
        return;
    }
    let x = 2u * factors[2u * which] * sizes.maps + map;
    let y_slot = factors[2u * which + 1u];
    let stride = 2u * sizes.slots * sizes.maps;
    let end = min((part + 1u) * sizes.chunk, sizes.pixels);
    var re: real = 0.0;
    var im: real = 0.0;
    if y_slot == 0xffffffffu {
        for (var row = part * sizes.chunk; row < end; row++) {
            let w = weights[row * sizes.masks + mask];
            re = fma(w, source[row * stride + x], re);
            im = fma(w, source[row * stride + x + sizes.maps], im);
        }
    } else {
        let y = 2u * y_slot * sizes.maps + map;
        for (var row = part * sizes.chunk; row < end; row++) {
            let w = weights[row * sizes.masks + mask];
            let xr = source[row * stride + x];
            let xi = source[row * stride + x + sizes.maps];
            let yr = w * source[row * stride + y];
            let yi = w * source[row * stride + y + sizes.maps];
            re = fma(xr, yr, re);
            re = fma(xi, yi, re);
            im = fma(xi, yr, im);
            im = fma(-xr, yi, im);
        }
    }
    let at = 2u * ((part * sizes.masks + mask) * sums + which) * sizes.maps + map;
    partials[at] = re;
    partials[at + sizes.maps] = im;
}

// The parts added pairwise into the first: neighbours, then pairs of those.
@compute @workgroup_size(64)
fn tree(invocation: Invocation) {
    let index = flat(invocation);
    let block = 2u * sizes.masks * (sizes.products + sizes.means) * sizes.maps;
    if index >= block {
        return;
    }
    for (var stride = 1u; stride < sizes.parts; stride *= 2u) {
        for (var left = 0u; left + stride < sizes.parts; left += 2u * stride) {
            partials[left * block + index] += partials[(left + stride) * block + index];
        }
    }
}

// Channels of the result: products with the means taken off, then the means.
@compute @workgroup_size(64)
fn finish(invocation: Invocation) {
    let index = flat(invocation);
    let sums = sizes.products + sizes.means;
    let all = sizes.picked + sizes.means;
    let map = index % sizes.maps;
    let which = (index / sizes.maps) % all;
    let mask = index / (sizes.maps * all);
    if mask >= sizes.masks {
        return;
    }
    let first = 2u * mask * sums * sizes.maps + map;
    var channel = 0u;
    var re: real = 0.0;
    var im: real = 0.0;
    if which >= sizes.picked {
        let slot = which - sizes.picked;
        channel = sizes.pairs + sizes.group * sizes.slots + slot;
        let at = first + 2u * (sizes.products + slot) * sizes.maps;
        re = partials[at];
        im = partials[at + sizes.maps];
    } else {
        let pick = 6u * which;
        channel = picks[pick] + sizes.group * picks[pick + 1u];
        let at = first + 2u * picks[pick + 2u] * sizes.maps;
        re = partials[at];
        im = partials[at + sizes.maps];
        if picks[pick + 3u] == 1u {
            im = -im;
        }
        if sizes.means > 0u {
            let x = first + 2u * (sizes.products + picks[pick + 4u]) * sizes.maps;
            let y = first + 2u * (sizes.products + picks[pick + 5u]) * sizes.maps;
            re = fma(-partials[x], partials[y], re);
            re = fma(-partials[x + sizes.maps], partials[y + sizes.maps], re);
            im = fma(-partials[x + sizes.maps], partials[y], im);
            im = fma(partials[x], partials[y + sizes.maps], im);
        }
    }
    let to = 2u * (mask * sizes.channels + channel) * sizes.maps + map;
    destination[to] = re;
    destination[to + sizes.maps] = im;
}
