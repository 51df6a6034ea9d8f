// What every loss term binds beside its columns, at binding 1. A statistic is one of
// several that the term reads.
//
// Layouts, the map innermost: statistic and gradient [coefficient][group][map], the
// maps of a group padded to the stride; contributions [coefficient][group].

/// Sizes of one statistic of a term.
struct TermSizes {
    /// Real coefficients of the statistic.
    coefficients: u32,
    /// First of them among those of the term.
    first: u32,
    /// Groups of maps, each with its own loss.
    groups: u32,
    /// Maps of a group.
    maps: u32,
    /// Maps of a group, padding included.
    stride: u32,
    /// Nothing.
    padding0: u32,
    /// Nothing.
    padding1: u32,
    /// Nothing.
    padding2: u32,
}

@group(0) @binding(0) var<uniform> sizes: TermSizes;
@group(0) @binding(2) var<storage, read> statistic: array<real>;
@group(0) @binding(3) var<storage, read_write> gradient: array<real>;
@group(0) @binding(4) var<storage, read_write> contributions: array<real>;
