// What every loss term binds beside its columns, at binding 1. A run has some of the
// term's coefficients, which stand in one field, maybe among others.
//
// Layouts, the map innermost: statistic and gradient [row of the field][group][map], the
// maps of a group padded to the stride; contributions [coefficient of the term][group];
// picks [coefficient of the run][which of the term, row of the field].

/// Sizes of one run of a term.
struct TermSizes {
    /// Real coefficients of the run.
    coefficients: u32,
    /// Groups of maps, each with its own loss.
    groups: u32,
    /// Maps of a group.
    maps: u32,
    /// Maps of a group, padding included.
    stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: TermSizes;
@group(0) @binding(2) var<storage, read> statistic: array<real>;
@group(0) @binding(3) var<storage, read_write> gradient: array<real>;
@group(0) @binding(4) var<storage, read_write> contributions: array<real>;
@group(0) @binding(5) var<storage, read> picks: array<u32>;

/// A coefficient of one group.
struct Pick {
    /// Its place among those of the term.
    row: u32,
    /// Its first map.
    start: u32,
}

// The coefficient of an invocation.
fn pick(index: u32) -> Pick {
    let at = 2u * (index / sizes.groups);
    let group = index % sizes.groups;
    let row = picks[at] * sizes.groups + group;
    return Pick(row, (picks[at + 1u] * sizes.groups + group) * sizes.stride);
}
