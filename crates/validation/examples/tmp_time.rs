//! tmp
use ndarray::Array2; use skyscat_num::{Par,Seed}; use skyscat_validation::*; use std::time::Instant;
fn main(){ let par=Par::new(std::env::args().nth(1).unwrap().parse().unwrap()).unwrap(); let n:usize=std::env::args().nth(2).unwrap().parse().unwrap(); let p=6144;
 let t=Instant::now(); let mut x=Seed(1).stream("x").index(0,0).normals(n*p); 
 for r in x.chunks_mut(p){ let mut a=0.0; for (j,v) in r.iter_mut().enumerate(){ a=0.95*a+*v; *v=a*(1.0+ (j as f64*0.01).sin()*0.5);} }
 let x=Array2::from_shape_vec((n,p),x).unwrap(); println!("draw {:?}",t.elapsed());
 let t=Instant::now(); let c=SampleCovariance::of(x.view(),&par).unwrap(); println!("cov {:?}",t.elapsed());
 let t=Instant::now(); let e=leading_modes(c.covariance.view(),LeadingConfig::of_modes(150,Seed(3)),&par).unwrap(); println!("lead {:?} {:?}",t.elapsed(),&e.values[..3]);
 if n<p {let t=Instant::now(); let f=Eigenmodes::of_maps(x.view(),150,&par).unwrap(); println!("gram {:?} {:?} {}",t.elapsed(),&f.values[..3], e.values.iter().zip(&f.values).map(|(a,b)|(a/b-1.0).abs()).fold(0.0,f64::max));}
 if std::env::args().nth(3).is_some(){ let t=Instant::now(); let f=Eigenmodes::all(c.covariance.view(),&par).unwrap();println!("all {:?} {:?}",t.elapsed(),&f.values[..3]);}
}
