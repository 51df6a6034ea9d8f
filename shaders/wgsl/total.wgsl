// Prelude: invocation.
//
// The contributions of all coefficients of a term added up, for each group of maps.
//
// Twin of `tree_sum` in `crates/num/src/sum.rs`: parts of 64 rows, eight by eight, and
// the parts by the same fixed tree.
//
// Layouts: contributions [row][group], partials [part][group], values [term][group].

/// Sizes of one sum.
struct TotalSizes {
    /// Rows to be added.
    rows: u32,
    /// Groups of maps.
    groups: u32,
    /// Parts of 64 rows.
    parts: u32,
    /// Which term.
    term: u32,
}

@group(0) @binding(0) var<uniform> sizes: TotalSizes;
@group(0) @binding(1) var<storage, read> contributions: array<real>;
@group(0) @binding(2) var<storage, read_write> partials: array<real>;
@group(0) @binding(3) var<storage, read_write> values: array<real>;

// The sum of one part and group.
@compute @workgroup_size(64)
fn parts(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.parts * sizes.groups {
        return;
    }
    let part = index / sizes.groups;
    let group = index % sizes.groups;
    let end = min(64u * (part + 1u), sizes.rows);
    var sum: real = 0.0;
    for (var block = 64u * part; block < end; block += 8u) {
        var eight: real = 0.0;
        for (var row = block; row < min(block + 8u, end); row++) {
            eight += contributions[row * sizes.groups + group];
        }
        sum += eight;
    }
    partials[index] = sum;
}

// The parts added pairwise: left and right neighbour, then pairs of those.
@compute @workgroup_size(64)
fn finish(invocation: Invocation) {
    let group = flat(invocation);
    if group >= sizes.groups {
        return;
    }
    for (var stride = 1u; stride < sizes.parts; stride *= 2u) {
        for (var left = 0u; left + stride < sizes.parts; left += 2u * stride) {
            let right = partials[(left + stride) * sizes.groups + group];
            partials[left * sizes.groups + group] += right;
        }
    }
    values[sizes.term * sizes.groups + group] = partials[group];
}
