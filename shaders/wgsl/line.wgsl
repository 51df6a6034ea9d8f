// Prelude: invocation.
//
// From a point and a direction to the variables of a program, and its gradient back.
//
// Twin of `set_sum` in `crates/autodiff/src/optimise/vector.rs`, and of the padding of
// `load` and `store` in `crates/autodiff/src/program.rs`.
//
// Layouts, the map innermost: vectors [row][map] without padding, of which a run sees
// one piece; padded variables [row][lane] of one part of the maps.

/// Sizes of the variables of one group in one part, and of a piece of its vectors.
struct LineSizes {
    /// Real numbers a map.
    rows: u32,
    /// Lanes of the part.
    width: u32,
    /// First lane of the group in the part.
    lane: u32,
    /// Its lanes there.
    lanes: u32,
    /// Maps of the group, in all parts.
    all: u32,
    /// First of them in the part.
    map: u32,
    /// Number of them in the part.
    maps: u32,
    /// First number of the piece.
    start: u32,
    /// Numbers of the piece.
    numbers: u32,
    /// Which group.
    group: u32,
    /// Nothing.
    padding0: u32,
    /// Nothing.
    padding1: u32,
}

@group(0) @binding(0) var<uniform> sizes: LineSizes;
@group(0) @binding(1) var<storage, read> point: array<real>;
@group(0) @binding(2) var<storage, read> direction: array<real>;
@group(0) @binding(3) var<storage, read> steps: array<real>;
@group(0) @binding(4) var<storage, read_write> vector: array<real>;
@group(0) @binding(5) var<storage, read_write> padded: array<real>;

// Where a lane of a row stands in the piece: at or above its length if not there.
fn place(row: u32, lane: u32) -> u32 {
    if lane >= sizes.maps {
        return sizes.numbers;
    }
    // What stands before the piece wraps around to above it.
    return row * sizes.all + sizes.map + lane - sizes.start;
}

// vector = point + step·direction, and the same padded.
@compute @workgroup_size(64)
fn probe(invocation: Invocation) {
    let index = flat(invocation);
    let row = index / sizes.lanes;
    let lane = index % sizes.lanes;
    let at = place(row, lane);
    if row >= sizes.rows || at >= sizes.numbers {
        return;
    }
    let x = fma(steps[sizes.group], direction[at], point[at]);
    vector[at] = x;
    padded[row * sizes.width + sizes.lane + lane] = x;
}

// vector = padded, without its padding.
@compute @workgroup_size(64)
fn gather(invocation: Invocation) {
    let index = flat(invocation);
    let row = index / sizes.lanes;
    let lane = index % sizes.lanes;
    let at = place(row, lane);
    if row >= sizes.rows || at >= sizes.numbers {
        return;
    }
    vector[at] = padded[row * sizes.width + sizes.lane + lane];
}
