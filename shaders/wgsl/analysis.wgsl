// Prelude: invocation.
//
// a_ℓm of RING maps by quadrature with equal weights, and the pullback.
//
// Twin of `Analysis` in `crates/harmonic/src/operators.rs`. The CPU takes FFTs along
// rings and sums rings in pairs; here every ring is transformed by a plain sum over its
// pixels, and λ of some orders at a time stand in a table of the northern rings and the
// equator, made by `legendre.wgsl`. A ring and its mirror share λ up to sign: W by
// (−1)^{ℓ+m+s}, X by the opposite.
//
// Layouts, the map innermost:
//   a map      [pixel][component][map]
//   rows       [ring][m][component][re, im][map]
//   a_ℓm       [mode][component][re, im][map], mode m(2·lmax + 1 − m)/2 + ℓ
//   legendre   [mode of the run][northern ring][W, X]
//   rings      [ring][first pixel, pixels, 1 if shifted by half a pixel, first of trig]
//   modes      [mode][ℓ, m], homes [pixel] its ring
//   trig       [cos, sin] of 2πj/2n, j = 0 .. 2n − 1, for each number n of pixels

/// Sizes of one transform.
struct AnalysisSizes {
    /// Rings.
    rings: u32,
    /// Largest degree and order.
    lmax: u32,
    /// Coefficients of one field that belong to the orders of this run.
    modes: u32,
    /// 1 for spin 0, else 2.
    components: u32,
    /// Spin.
    spin: u32,
    /// Pixels.
    pixels: u32,
    /// Maps of the batch, padding included.
    maps: u32,
    /// First mode of this run.
    start: u32,
    /// First order of this run.
    first: u32,
    /// Orders of this run.
    orders: u32,
    /// Nothing.
    padding0: u32,
    /// Nothing.
    padding1: u32,
}

@group(0) @binding(0) var<uniform> sizes: AnalysisSizes;
@group(0) @binding(1) var<storage, read> rings: array<u32>;
@group(0) @binding(2) var<storage, read> modes: array<u32>;
@group(0) @binding(3) var<storage, read> homes: array<u32>;
@group(0) @binding(4) var<storage, read> trig: array<real>;
@group(0) @binding(5) var<storage, read> legendre: array<real>;
@group(0) @binding(6) var<storage, read> source: array<real>;
@group(0) @binding(7) var<storage, read_write> rows: array<real>;
@group(0) @binding(8) var<storage, read_write> destination: array<real>;

// Quadrature weight of a pixel: 4π over their number.
fn weight() -> real {
    return 12.566370614359172 / real(sizes.pixels);
}

// W and X of a mode on a ring.
fn lambda(mode: u32, l: u32, m: u32, ring: u32) -> vec2<real> {
    let north = (sizes.rings + 1u) / 2u;
    var at = ring;
    var sign = vec2<real>(1.0, 1.0);
    if ring >= north {
        at = sizes.rings - 1u - ring;
        sign = vec2<real>(1.0, -1.0);
        if ((l + m + sizes.spin) & 1u) == 1u {
            sign = vec2<real>(-1.0, 1.0);
        }
    }
    let entry = 2u * ((mode - sizes.start) * north + at);
    return sign * vec2(legendre[entry], legendre[entry + 1u]);
}

// W·own ± iX·other, + towards component 0: what both ways have in common.
fn combine(component: u32, w: vec2<real>, own: vec2<real>, other: vec2<real>, sum: vec2<real>) -> vec2<real> {
    var x = w.y;
    if component == 1u {
        x = -x;
    }
    let plain = fma(vec2(w.x), own, sum);
    return fma(vec2(x), vec2(-other.y, other.x), plain);
}

// rows = Σ pixel · e^{−imφ} along a ring.
@compute @workgroup_size(64)
fn rings_forward(invocation: Invocation) {
    let index = flat(invocation);
    let orders = sizes.lmax + 1u;
    let map = index % sizes.maps;
    let component = (index / sizes.maps) % sizes.components;
    let m = (index / (sizes.maps * sizes.components)) % orders;
    let ring = index / (sizes.maps * sizes.components * orders);
    if ring >= sizes.rings {
        return;
    }
    let first = rings[4u * ring];
    let n = rings[4u * ring + 1u];
    let table = rings[4u * ring + 3u];
    let step = (2u * m) % (2u * n);
    var angle = (m * rings[4u * ring + 2u]) % (2u * n);
    var re: real = 0.0;
    var im: real = 0.0;
    for (var k = 0u; k < n; k++) {
        let x = source[((first + k) * sizes.components + component) * sizes.maps + map];
        re = fma(x, trig[table + 2u * angle], re);
        im = fma(-x, trig[table + 2u * angle + 1u], im);
        angle += step;
        if angle >= 2u * n {
            angle -= 2u * n;
        }
    }
    let to = 2u * ((ring * orders + m) * sizes.components + component) * sizes.maps + map;
    rows[to] = re;
    rows[to + sizes.maps] = im;
}

fn row(ring: u32, m: u32, component: u32, map: u32) -> vec2<real> {
    let at = 2u * ((ring * (sizes.lmax + 1u) + m) * sizes.components + component) * sizes.maps + map;
    return vec2(rows[at], rows[at + sizes.maps]);
}

// a_ℓm = weight · Σ λ · rows over rings: one complex number an invocation.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    let map = index % sizes.maps;
    let component = (index / sizes.maps) % sizes.components;
    let mode = sizes.start + index / (sizes.maps * sizes.components);
    if mode >= sizes.start + sizes.modes {
        return;
    }
    let l = modes[2u * mode];
    let m = modes[2u * mode + 1u];
    let twin = sizes.components - 1u - component;
    var sum = vec2<real>(0.0, 0.0);
    for (var ring = 0u; ring < sizes.rings; ring++) {
        let w = lambda(mode, l, m, ring);
        sum = combine(component, w, row(ring, m, component, map), row(ring, m, twin, map), sum);
    }
    let to = 2u * (mode * sizes.components + component) * sizes.maps + map;
    destination[to] = weight() * sum.x;
    destination[to + sizes.maps] = weight() * sum.y;
}

fn coefficient(mode: u32, component: u32, map: u32) -> vec2<real> {
    let at = 2u * (mode * sizes.components + component) * sizes.maps + map;
    return vec2(source[at], source[at + sizes.maps]);
}

// rows = Σ λ · a_ℓm gradient over degrees.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    let map = index % sizes.maps;
    let component = (index / sizes.maps) % sizes.components;
    let m = sizes.first + (index / (sizes.maps * sizes.components)) % sizes.orders;
    let ring = index / (sizes.maps * sizes.components * sizes.orders);
    if ring >= sizes.rings {
        return;
    }
    let twin = sizes.components - 1u - component;
    let column = (m * (2u * sizes.lmax + 1u - m)) / 2u;
    var sum = vec2<real>(0.0, 0.0);
    for (var l = m; l <= sizes.lmax; l++) {
        let mode = column + l;
        let w = lambda(mode, l, m, ring);
        let own = coefficient(mode, component, map);
        sum = combine(component, w, own, coefficient(mode, twin, map), sum);
    }
    let orders = sizes.lmax + 1u;
    let to = 2u * ((ring * orders + m) * sizes.components + component) * sizes.maps + map;
    rows[to] = sum.x;
    rows[to + sizes.maps] = sum.y;
}

// pixel gradient += weight · Σ_m Re(rows · e^{imφ}): one number an invocation.
@compute @workgroup_size(64)
fn rings_pullback(invocation: Invocation) {
    let index = flat(invocation);
    let map = index % sizes.maps;
    let component = (index / sizes.maps) % sizes.components;
    let pixel = index / (sizes.maps * sizes.components);
    if pixel >= sizes.pixels {
        return;
    }
    let ring = homes[pixel];
    let n = rings[4u * ring + 1u];
    let table = rings[4u * ring + 3u];
    let step = 2u * (pixel - rings[4u * ring]) + rings[4u * ring + 2u];
    var angle = 0u;
    var sum: real = 0.0;
    for (var m = 0u; m <= sizes.lmax; m++) {
        let z = row(ring, m, component, map);
        sum = fma(z.x, trig[table + 2u * angle], sum);
        // The imaginary part of m = 0 is no coefficient: its sine is 0.
        sum = fma(-z.y, trig[table + 2u * angle + 1u], sum);
        angle += step;
        if angle >= 2u * n {
            angle -= 2u * n;
        }
    }
    destination[index] = fma(weight(), sum, destination[index]);
}
