alias real = f64;
