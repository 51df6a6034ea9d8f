//! The one place that prints.

/// Prints a line on standard error, in order with what child programs print there.
#[allow(clippy::print_stderr, reason = "tasks talk to the person who started them")]
pub(crate) fn line(text: &str) {
    eprintln!("{text}");
}

/// A duration in words: "0.3 s", "12 s", "3 min 07 s", "2 h 05 min".
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A size in words.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_short() {
        assert_eq!(duration(0.31), "0.3 s");
        assert_eq!(duration(59.0), "59 s");
        assert_eq!(duration(187.2), "3 min 07 s");
        assert_eq!(duration(7500.0), "2 h 05 min");
        assert_eq!(bytes(123_904), "123.9 kB");
    }
}
