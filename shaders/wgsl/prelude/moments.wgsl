// What terms bind that match a moment of the maps, and the sums that make one. Maps are
// added in blocks of eight, so that hundreds of them lose no digits.
//
// Layout: columns [coefficient][group].

@group(0) @binding(1) var<storage, read> columns: array<vec4<real>>;

/// A coefficient of one group, and its numbers.
struct Own {
    /// Its place among those of the term.
    row: u32,
    /// Its first map.
    start: u32,
    /// Its numbers.
    column: vec4<real>,
}

// The coefficient of an invocation.
fn coefficient(index: u32) -> Own {
    let own = pick(index);
    return Own(own.row, own.start, columns[own.row]);
}

// A map in some unit, relative to an origin in two parts.
fn relative(at: u32, unit: real, origin: vec2<real>) -> real {
    return (statistic[at] * unit - origin.x) - origin.y;
}

// The mean of the maps from `start` on, in this unit and relative to this origin.
fn mean_of(start: u32, unit: real, origin: vec2<real>) -> real {
    var sum: real = 0.0;
    for (var block = 0u; block < sizes.maps; block += 8u) {
        var part: real = 0.0;
        for (var map = block; map < min(block + 8u, sizes.maps); map++) {
            part += relative(start + map, unit, origin);
        }
        sum += part;
    }
    return sum / real(sizes.maps);
}

// The mean of their squares.
fn mean_square_of(start: u32, unit: real, origin: vec2<real>) -> real {
    var sum: real = 0.0;
    for (var block = 0u; block < sizes.maps; block += 8u) {
        var part: real = 0.0;
        for (var map = block; map < min(block + 8u, sizes.maps); map++) {
            let x = relative(start + map, unit, origin);
            part = fma(x, x, part);
        }
        sum += part;
    }
    return sum / real(sizes.maps);
}
