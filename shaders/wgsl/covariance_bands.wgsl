// Prelude: invocation, quad.
//
// Up to three bands copied to the fields of some groups, and the pullback.
//
// Twin of `crates/wavelet/src/operators/covariance/fill.rs`.
//
// Layouts, the map innermost:
//   band       [pixel][orientation][re, im][map]
//   fields     [group of the run][pixel][slot][re, im][map]

/// Sizes of the bands of some groups.
struct CovarianceBandsSizes {
    /// Pixels.
    pixels: u32,
    /// Oriented wavelets, and groups.
    orientations: u32,
    /// First group of the run: which orientation is taken.
    first: u32,
    /// Groups of the run.
    groups: u32,
    /// Slots of a group.
    slots: u32,
    /// Slot of the first band.
    slot: u32,
    /// Bands of the run.
    bands: u32,
    /// Fours of maps of the batch, padding included.
    quads: u32,
}

@group(0) @binding(0) var<uniform> sizes: CovarianceBandsSizes;
@group(0) @binding(1) var<storage, read_write> band0: array<quad>;
@group(0) @binding(2) var<storage, read_write> band1: array<quad>;
@group(0) @binding(3) var<storage, read_write> band2: array<quad>;
@group(0) @binding(4) var<storage, read_write> fields: array<quad>;

/// Which number an invocation copies, and where it stands.
struct Own {
    pixel: u32,
    band: u32,
    /// In the band.
    there: u32,
    /// Among the fields.
    here: u32,
}

fn own(index: u32) -> Own {
    let width = 2u * sizes.quads;
    let number = index % width;
    let band = (index / width) % sizes.bands;
    let group = (index / (width * sizes.bands)) % sizes.groups;
    let pixel = index / (width * sizes.bands * sizes.groups);
    let there = (pixel * sizes.orientations + sizes.first + group) * width + number;
    let row = group * sizes.pixels + pixel;
    return Own(pixel, band, there, (row * sizes.slots + sizes.slot + band) * width + number);
}

// fields = bands of the groups.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let at = own(flat(invocation));
    if at.pixel >= sizes.pixels {
        return;
    }
    if at.band == 0u {
        fields[at.here] = band0[at.there];
    } else if at.band == 1u {
        fields[at.here] = band1[at.there];
    } else {
        fields[at.here] = band2[at.there];
    }
}

// band gradients += fields gradient.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let at = own(flat(invocation));
    if at.pixel >= sizes.pixels {
        return;
    }
    if at.band == 0u {
        band0[at.there] += fields[at.here];
    } else if at.band == 1u {
        band1[at.there] += fields[at.here];
    } else {
        band2[at.there] += fields[at.here];
    }
}
