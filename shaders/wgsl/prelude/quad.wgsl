/// Four neighbouring maps, loaded and summed together: maps are padded to a multiple of
/// four. Addresses, weights and indices are then read once for all of them.
alias quad = vec4<real>;

/// A complex number of four maps.
struct Complex {
    re: quad,
    im: quad,
}
