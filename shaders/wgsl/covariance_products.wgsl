// Prelude: invocation, quad.
//
// Covariances of the fields of some groups: sums of products; of all groups: a tree over
// parts, pairs.
//
// Twin of `crates/wavelet/src/operators/covariance/sums.rs`: rows of a part are
// summed in order with the same fused multiply-adds, and parts by a fixed tree. Parts
// have other lengths than on the CPU.
//
// Layouts, the map innermost:
//   fields     [group of the run][pixel][slot][re, im][map]
//   weights    [pixel][mask]
//   tiles      [tile][x, y, first sum, sums from one y to the next, xs, ys]: products of
//              one or two neighbouring x with one or two y; y = 0xffffffff for a mean of x
//   partials   [part][mask][group][sum][re, im][map]
//   picks      [channel][first, step, sum, conjugated, x, y]
//   destination [mask][channel][re, im][map]

/// Sizes of the covariances of some groups.
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
    /// Products of slots, in tiles.
    products: u32,
    /// Means of slots: as many as slots, or none if nothing is centred.
    means: u32,
    /// Fours of maps of the batch, padding included.
    quads: u32,
    /// First group of the run.
    first: u32,
    /// Groups of the run.
    groups: u32,
    /// All groups.
    orientations: u32,
    /// Channels of a group.
    picked: u32,
    /// Channels of all pairs, before the means.
    pairs: u32,
    /// All channels of the result.
    channels: u32,
    /// Tiles of products, and means.
    tiles: u32,
    /// Nothing.
    padding: u32,
}

@group(0) @binding(0) var<uniform> sizes: CovarianceProductsSizes;
@group(0) @binding(1) var<storage, read> weights: array<real>;
@group(0) @binding(2) var<storage, read> source: array<quad>;
@group(0) @binding(3) var<storage, read> tiles: array<u32>;
@group(0) @binding(4) var<storage, read> picks: array<u32>;
@group(0) @binding(5) var<storage, read_write> partials: array<quad>;
@group(0) @binding(6) var<storage, read_write> destination: array<quad>;

fn field(at: u32) -> Complex {
    return Complex(source[at], source[at + sizes.quads]);
}

// sum + x y*
fn plus(sum: Complex, x: Complex, y: Complex) -> Complex {
    let re = fma(x.im, y.im, fma(x.re, y.re, sum.re));
    let im = fma(-x.re, y.im, fma(x.im, y.re, sum.im));
    return Complex(re, im);
}

// Where a sum of a group stands within a part.
fn place(mask: u32, group: u32, sum: u32, maps: u32) -> u32 {
    let row = mask * sizes.orientations + group;
    return 2u * (row * (sizes.products + sizes.means) + sum) * sizes.quads + maps;
}

fn keep(sum: u32, part_and_mask: u32, group: u32, maps: u32, value: Complex) {
    let at = place(part_and_mask, sizes.first + group, sum, maps);
    partials[at] = value.re;
    partials[at + sizes.quads] = value.im;
}

// One tile of sums of one part and mask: Σ w x y*, so that a field is loaded for two of
// them; or Σ w x.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    let maps = index % sizes.quads;
    let tile = 6u * ((index / sizes.quads) % sizes.tiles);
    let rest = index / (sizes.quads * sizes.tiles);
    let group = rest % sizes.groups;
    let part_and_mask = rest / sizes.groups;
    let mask = part_and_mask % sizes.masks;
    let part = part_and_mask / sizes.masks;
    if part >= sizes.parts {
        return;
    }
    let width = 2u * sizes.quads;
    let stride = sizes.slots * width;
    let end = min((part + 1u) * sizes.chunk, sizes.pixels);
    let start = group * sizes.pixels * stride + maps;
    let x = start + tiles[tile] * width;
    let first = tiles[tile + 2u];
    if tiles[tile + 1u] == 0xffffffffu {
        var sum = Complex();
        for (var row = part * sizes.chunk; row < end; row++) {
            let w = quad(weights[row * sizes.masks + mask]);
            let z = field(row * stride + x);
            sum = Complex(fma(w, z.re, sum.re), fma(w, z.im, sum.im));
        }
        keep(first, part_and_mask, group, maps, sum);
        return;
    }
    // Where there is no second one, the first is taken twice.
    let y = start + tiles[tile + 1u] * width;
    let xs = tiles[tile + 4u] - 1u;
    let ys = tiles[tile + 5u] - 1u;
    var a = Complex();
    var b = Complex();
    var c = Complex();
    var d = Complex();
    for (var row = part * sizes.chunk; row < end; row++) {
        let w = weights[row * sizes.masks + mask];
        let x0 = field(row * stride + x);
        let x1 = field(row * stride + x + xs * width);
        let z0 = field(row * stride + y);
        let z1 = field(row * stride + y + ys * width);
        let y0 = Complex(w * z0.re, w * z0.im);
        let y1 = Complex(w * z1.re, w * z1.im);
        a = plus(a, x0, y0);
        b = plus(b, x1, y0);
        c = plus(c, x0, y1);
        d = plus(d, x1, y1);
    }
    let next = first + ys * tiles[tile + 3u];
    keep(first, part_and_mask, group, maps, a);
    keep(first + xs, part_and_mask, group, maps, b);
    keep(next, part_and_mask, group, maps, c);
    keep(next + xs, part_and_mask, group, maps, d);
}

// The parts added pairwise into the first: neighbours, then pairs of those.
@compute @workgroup_size(64)
fn tree(invocation: Invocation) {
    let index = flat(invocation);
    let block = place(sizes.masks, 0u, 0u, 0u);
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
    let all = sizes.picked + sizes.means;
    let maps = index % sizes.quads;
    let which = (index / sizes.quads) % all;
    let row = index / (sizes.quads * all);
    let group = row % sizes.orientations;
    let mask = row / sizes.orientations;
    if mask >= sizes.masks {
        return;
    }
    let first = place(mask, group, 0u, maps);
    var channel = 0u;
    var re = quad();
    var im = quad();
    if which >= sizes.picked {
        let slot = which - sizes.picked;
        channel = sizes.pairs + group * sizes.slots + slot;
        let at = first + 2u * (sizes.products + slot) * sizes.quads;
        re = partials[at];
        im = partials[at + sizes.quads];
    } else {
        let pick = 6u * which;
        channel = picks[pick] + group * picks[pick + 1u];
        let at = first + 2u * picks[pick + 2u] * sizes.quads;
        re = partials[at];
        im = partials[at + sizes.quads];
        if picks[pick + 3u] == 1u {
            im = -im;
        }
        if sizes.means > 0u {
            let x = first + 2u * (sizes.products + picks[pick + 4u]) * sizes.quads;
            let y = first + 2u * (sizes.products + picks[pick + 5u]) * sizes.quads;
            re = fma(-partials[x], partials[y], re);
            re = fma(-partials[x + sizes.quads], partials[y + sizes.quads], re);
            im = fma(-partials[x + sizes.quads], partials[y], im);
            im = fma(partials[x], partials[y + sizes.quads], im);
        }
    }
    let to = 2u * (mask * sizes.channels + channel) * sizes.quads + maps;
    destination[to] = re;
    destination[to + sizes.quads] = im;
}
