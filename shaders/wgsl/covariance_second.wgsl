// Prelude: invocation, quad.
//
// The fields of one group: bands copied, moduli convolved and turned, and the pullbacks.
//
// Twin of `crates/wavelet/src/operators/covariance/fill.rs`: the entries of a row are
// summed in the same order with fused multiply-adds. The pullback gathers over the
// transposed table, where the CPU scatters.
//
// Layouts, the map innermost:
//   band       [pixel][orientation][re, im][map]
//   modulus    [pixel][orientation][map]
//   fields     [pixel][slot][re, im][map], those of one group
//   weights    [entry][orientation][re, im]
//   shifts, turns  [pixel][orientation], with cos² and sin² for each turn
// The entries of row p are offsets[p] .. offsets[p + 1]. In the pullback columns holds
// rows of the forward table, and entries says which weights each of them takes.

/// Sizes of the fields of one group.
struct CovarianceSecondSizes {
    /// Pixels.
    pixels: u32,
    /// Oriented wavelets in the table, and groups.
    orientations: u32,
    /// The group: which wavelet convolves the moduli.
    group: u32,
    /// Slots of a group.
    slots: u32,
    /// First slot of the band or modulus of this run.
    slot: u32,
    /// Fours of maps of the batch, padding included.
    quads: u32,
    /// Nothing.
    padding0: u32,
    /// Nothing.
    padding1: u32,
}

@group(0) @binding(0) var<uniform> sizes: CovarianceSecondSizes;
@group(0) @binding(1) var<storage, read> offsets: array<u32>;
@group(0) @binding(2) var<storage, read> columns: array<u32>;
@group(0) @binding(3) var<storage, read> entries: array<u32>;
@group(0) @binding(4) var<storage, read> weights: array<vec2<real>>;
@group(0) @binding(5) var<storage, read> shifts: array<u32>;
@group(0) @binding(6) var<storage, read> turns: array<vec2<real>>;
@group(0) @binding(7) var<storage, read> source: array<quad>;
@group(0) @binding(8) var<storage, read_write> destination: array<quad>;

// fields = band of this group.
@compute @workgroup_size(64)
fn bands(invocation: Invocation) {
    let index = flat(invocation);
    let width = 2u * sizes.quads;
    let pixel = index / width;
    if pixel >= sizes.pixels {
        return;
    }
    let number = index % width;
    let start = (pixel * sizes.orientations + sizes.group) * width + number;
    destination[(pixel * sizes.slots + sizes.slot) * width + number] = source[start];
}

// band gradient += fields gradient.
@compute @workgroup_size(64)
fn bands_pullback(invocation: Invocation) {
    let index = flat(invocation);
    let width = 2u * sizes.quads;
    let pixel = index / width;
    if pixel >= sizes.pixels {
        return;
    }
    let number = index % width;
    let to = (pixel * sizes.orientations + sizes.group) * width + number;
    destination[to] += source[(pixel * sizes.slots + sizes.slot) * width + number];
}

/// Which number an invocation computes.
struct Own {
    pixel: u32,
    channel: u32,
    maps: u32,
}

fn own(index: u32) -> Own {
    let channels = sizes.quads * sizes.orientations;
    return Own(index / channels, (index / sizes.quads) % sizes.orientations, index % sizes.quads);
}

// cos²·a + sin²·b, as a channel is turned at a pixel.
fn between(at: u32, a: Complex, b: Complex) -> Complex {
    let turn = turns[at];
    let re = fma(quad(turn.x), a.re, turn.y * b.re);
    let im = fma(quad(turn.x), a.im, turn.y * b.im);
    return Complex(re, im);
}

// Modulus ⋆ wavelet of the group at a pixel, one channel.
fn convolved(pixel: u32, channel: u32, maps: u32) -> Complex {
    var re = quad();
    var im = quad();
    for (var entry = offsets[pixel]; entry < offsets[pixel + 1u]; entry++) {
        let x = source[(columns[entry] * sizes.orientations + channel) * sizes.quads + maps];
        let weight = weights[entry * sizes.orientations + sizes.group];
        re = fma(quad(weight.x), x, re);
        im = fma(quad(weight.y), x, im);
    }
    return Complex(re, im);
}

// Where a channel of the run stands among the fields.
fn place(pixel: u32, channel: u32, maps: u32) -> u32 {
    return 2u * (pixel * sizes.slots + sizes.slot + channel) * sizes.quads + maps;
}

fn keep(to: Own, z: Complex) {
    let at = place(to.pixel, to.channel, to.maps);
    destination[at] = z.re;
    destination[at + sizes.quads] = z.im;
}

// fields = modulus ⋆ wavelet: one complex number of four maps an invocation.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let at = own(flat(invocation));
    if at.pixel >= sizes.pixels {
        return;
    }
    keep(at, convolved(at.pixel, at.channel, at.maps));
}

// The same, turned.
@compute @workgroup_size(64)
fn forward_turned(invocation: Invocation) {
    let at = own(flat(invocation));
    if at.pixel >= sizes.pixels {
        return;
    }
    let r = sizes.orientations;
    let turn = at.pixel * r + sizes.group;
    let a = convolved(at.pixel, (at.channel + shifts[turn]) % r, at.maps);
    let b = convolved(at.pixel, (at.channel + shifts[turn] + 1u) % r, at.maps);
    keep(at, between(turn, a, b));
}

fn field(pixel: u32, channel: u32, maps: u32) -> Complex {
    let at = place(pixel, channel, maps);
    return Complex(source[at], source[at + sizes.quads]);
}

// The real part of weight* z, its two sums kept apart.
fn plus(sum: Complex, i: u32, z: Complex) -> Complex {
    let weight = weights[entries[i] * sizes.orientations + sizes.group];
    return Complex(fma(quad(weight.x), z.re, sum.re), fma(quad(weight.y), z.im, sum.im));
}

// modulus gradient += tableᵀ · fields gradient: one number of four maps an invocation.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    let at = own(index);
    if at.pixel >= sizes.pixels {
        return;
    }
    var sum = Complex(destination[index], quad());
    for (var i = offsets[at.pixel]; i < offsets[at.pixel + 1u]; i++) {
        sum = plus(sum, i, field(columns[i], at.channel, at.maps));
    }
    destination[index] = sum.re + sum.im;
}

// The same, turned back.
@compute @workgroup_size(64)
fn pullback_turned(invocation: Invocation) {
    let index = flat(invocation);
    let at = own(index);
    if at.pixel >= sizes.pixels {
        return;
    }
    let r = sizes.orientations;
    var sum = Complex(destination[index], quad());
    for (var i = offsets[at.pixel]; i < offsets[at.pixel + 1u]; i++) {
        let turn = columns[i] * r + sizes.group;
        let a = field(columns[i], (at.channel + 2u * r - shifts[turn]) % r, at.maps);
        let b = field(columns[i], (at.channel + 2u * r - shifts[turn] - 1u) % r, at.maps);
        sum = plus(sum, i, between(turn, a, b));
    }
    destination[index] = sum.re + sum.im;
}
