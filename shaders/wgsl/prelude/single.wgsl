alias real = f32;
