// Prelude: invocation, quad.
//
// Gradients of the fields of some groups from the cotangent of their covariances.
//
// Twin of `crates/wavelet/src/operators/covariance/linear.rs`:
// dz = Σ_mask w (A z + b), where A holds the cotangents of the pairs and b what the
// means add. Factors that are always zero are left out, otherwise sums have the same
// order and the same fused multiply-adds.
//
// Layouts, the map innermost:
//   fields, destination  [group of the run][pixel][slot][re, im][map]
//   weights    [pixel][mask]
//   links      [slot + 1] offsets, then the source slot of each link
//   parts      [link + 1] offsets, then (first, step, conjugated) of each part of a link
//   cotangent, means     [mask][channel][re, im][map]
//   packed     [mask][group][link, then slot][re, im][map]

/// Sizes of the gradients of some groups.
struct CovarianceSpreadSizes {
    /// Pixels.
    pixels: u32,
    /// Slots of a group.
    slots: u32,
    /// Masks.
    masks: u32,
    /// Pairs of slots that are linked, both ways counted.
    links: u32,
    /// Fours of maps of the batch, padding included.
    quads: u32,
    /// First group of the run.
    first: u32,
    /// Groups of the run.
    groups: u32,
    /// All groups.
    orientations: u32,
    /// Channels of all pairs, before the means.
    pairs: u32,
    /// All channels of the result.
    channels: u32,
    /// 1 if means were taken off.
    centred: u32,
    /// Nothing.
    padding: u32,
}

@group(0) @binding(0) var<uniform> sizes: CovarianceSpreadSizes;
@group(0) @binding(1) var<storage, read> weights: array<real>;
@group(0) @binding(2) var<storage, read> source: array<quad>;
@group(0) @binding(3) var<storage, read> links: array<u32>;
@group(0) @binding(4) var<storage, read> parts: array<u32>;
@group(0) @binding(5) var<storage, read> cotangent: array<quad>;
@group(0) @binding(6) var<storage, read> means: array<quad>;
@group(0) @binding(7) var<storage, read_write> packed: array<quad>;
@group(0) @binding(8) var<storage, read_write> destination: array<quad>;

// Where a link or, after the links, a slot of a group stands in packed.
fn place(mask: u32, group: u32, which: u32, maps: u32) -> u32 {
    let row = mask * sizes.orientations + group;
    return 2u * (row * (sizes.links + sizes.slots) + which) * sizes.quads + maps;
}

// The factor of every link of all groups: cotangents, some of them conjugated, added.
@compute @workgroup_size(64)
fn pack(invocation: Invocation) {
    let index = flat(invocation);
    let maps = index % sizes.quads;
    let link = (index / sizes.quads) % sizes.links;
    let row = index / (sizes.quads * sizes.links);
    let group = row % sizes.orientations;
    let mask = row / sizes.orientations;
    if mask >= sizes.masks {
        return;
    }
    var re = quad();
    var im = quad();
    for (var part = parts[link]; part < parts[link + 1u]; part++) {
        let at = sizes.links + 1u + 3u * part;
        let channel = parts[at] + group * parts[at + 1u];
        let g = 2u * (mask * sizes.channels + channel) * sizes.quads + maps;
        re += cotangent[g];
        if parts[at + 2u] == 1u {
            im -= cotangent[g + sizes.quads];
        } else {
            im += cotangent[g + sizes.quads];
        }
    }
    let to = place(mask, group, link, maps);
    packed[to] = re;
    packed[to + sizes.quads] = im;
}

// The cotangent of every mean of all groups, less what centring takes off.
@compute @workgroup_size(64)
fn offset(invocation: Invocation) {
    let index = flat(invocation);
    let maps = index % sizes.quads;
    let slot = (index / sizes.quads) % sizes.slots;
    let row = index / (sizes.quads * sizes.slots);
    let group = row % sizes.orientations;
    let mask = row / sizes.orientations;
    if mask >= sizes.masks {
        return;
    }
    var re = quad();
    var im = quad();
    if sizes.centred == 1u {
        let first = mask * sizes.channels + sizes.pairs + group * sizes.slots;
        let own = 2u * (first + slot) * sizes.quads + maps;
        re = cotangent[own];
        im = cotangent[own + sizes.quads];
        for (var link = links[slot]; link < links[slot + 1u]; link++) {
            let at = 2u * (first + links[sizes.slots + 1u + link]) * sizes.quads + maps;
            let f = place(mask, group, link, maps);
            re = fma(-packed[f], means[at], re);
            re = fma(packed[f + sizes.quads], means[at + sizes.quads], re);
            im = fma(-packed[f], means[at + sizes.quads], im);
            im = fma(-packed[f + sizes.quads], means[at], im);
        }
    }
    let to = place(mask, group, sizes.links + slot, maps);
    packed[to] = re;
    packed[to + sizes.quads] = im;
}

// sum + f z, for the field z at a place.
fn plus(sum: Complex, f: Complex, at: u32) -> Complex {
    let zr = source[at];
    let zi = source[at + sizes.quads];
    let re = fma(-f.im, zi, fma(f.re, zr, sum.re));
    let im = fma(f.im, zr, fma(f.re, zi, sum.im));
    return Complex(re, im);
}

fn weighted(mask: u32, pixel: u32, z: Complex, sum: Complex) -> Complex {
    let w = quad(weights[pixel * sizes.masks + mask]);
    return Complex(fma(w, z.re, sum.re), fma(w, z.im, sum.im));
}

// The gradient of every field: one complex number of four maps at two neighbouring pixels
// an invocation, so that factors are loaded for both.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    let maps = index % sizes.quads;
    let slot = (index / sizes.quads) % sizes.slots;
    let pair = index / (sizes.quads * sizes.slots);
    let group = pair % sizes.groups;
    let pixel = 2u * (pair / sizes.groups);
    if pixel >= sizes.pixels {
        return;
    }
    // The last of an odd number is taken twice.
    let next = min(pixel + 1u, sizes.pixels - 1u);
    let width = 2u * sizes.quads;
    let rows = group * sizes.pixels;
    let here = (rows + pixel) * sizes.slots * width + maps;
    let there = (rows + next) * sizes.slots * width + maps;
    var a = Complex();
    var b = Complex();
    for (var mask = 0u; mask < sizes.masks; mask++) {
        let start = place(mask, sizes.first + group, sizes.links + slot, maps);
        let offset = Complex(packed[start], packed[start + sizes.quads]);
        var p = offset;
        var q = offset;
        for (var link = links[slot]; link < links[slot + 1u]; link++) {
            let source_slot = links[sizes.slots + 1u + link] * width;
            let f = place(mask, sizes.first + group, link, maps);
            let factor = Complex(packed[f], packed[f + sizes.quads]);
            p = plus(p, factor, here + source_slot);
            q = plus(q, factor, there + source_slot);
        }
        a = weighted(mask, pixel, p, a);
        b = weighted(mask, next, q, b);
    }
    destination[here + slot * width] = a.re;
    destination[here + slot * width + sizes.quads] = a.im;
    destination[there + slot * width] = b.re;
    destination[there + slot * width + sizes.quads] = b.im;
}
