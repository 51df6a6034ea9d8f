// Prelude: invocation.
//
// W and X of some orders on the northern rings, by recurrence in the degree from seeds.
//
// Twin of `crates/harmonic/src/recurrence.rs`, which climbs from the first degree in
// f64. Here every block of degrees starts again from seeds that were made so. With
// d_ℓ = λ_{ℓ+1} − λ_ℓ the recurrence is d_ℓ = κ λ_ℓ + γ d_{ℓ−1}, where
// κ = (α cos θ ± β) − 1 − γ is small near the pole: its rounding is small too, and errors
// grow with the steps taken and not with their square.
//
// Layouts:
//   blocks     [block][first degree, last degree + 1, order, first mode of the order],
//              modes counted from the first of this run
//   steps      [mode of the run][κ at the pole of λ⁺, of λ⁻, α, γ]
//   heights    [northern ring] 1 − cos θ
//   seeds      [block][northern ring][λ⁺, λ⁻, d⁺, d⁻ of the degree before]
//   legendre   [mode of the run][northern ring][W, X]

/// Sizes of some orders of a transform.
struct LegendreSizes {
    /// Northern rings, the equator included.
    north: u32,
    /// Blocks of degrees.
    blocks: u32,
    /// Spin.
    spin: u32,
    /// Nothing.
    padding: u32,
}

@group(0) @binding(0) var<uniform> sizes: LegendreSizes;
@group(0) @binding(1) var<storage, read> blocks: array<u32>;
@group(0) @binding(2) var<storage, read> steps: array<real>;
@group(0) @binding(3) var<storage, read> heights: array<real>;
@group(0) @binding(4) var<storage, read> seeds: array<real>;
@group(0) @binding(5) var<storage, read_write> legendre: array<real>;

// One block on one ring.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    let ring = index % sizes.north;
    let block = index / sizes.north;
    if block >= sizes.blocks {
        return;
    }
    let first = blocks[4u * block];
    let end = blocks[4u * block + 1u];
    let column = blocks[4u * block + 3u] - blocks[4u * block + 2u];
    let height = heights[ring];
    let seed = 4u * index;
    var value = vec2(seeds[seed], seeds[seed + 1u]);
    var change = vec2(seeds[seed + 2u], seeds[seed + 3u]);
    for (var l = first; l < end; l++) {
        let mode = column + l;
        let to = 2u * (mode * sizes.north + ring);
        if sizes.spin == 0u {
            legendre[to] = value.x;
            legendre[to + 1u] = 0.0;
        } else {
            legendre[to] = value.x + value.y;
            legendre[to + 1u] = value.x - value.y;
        }
        let step = 4u * mode;
        let pole = vec2(steps[step], steps[step + 1u]);
        let kappa = fma(vec2(-steps[step + 2u]), vec2(height), pole);
        change = fma(kappa, value, steps[step + 3u] * change);
        value += change;
    }
}
