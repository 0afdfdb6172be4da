//! x
use yuragi_tests::*; use yuragi_graph::*; use yuragi_reference::*;
fn main(){
  for c in cases::all() { if c.detail!="many buffers" {continue;}
   let b=Builder::new(); let x=c.declare(&b);
   let mut y = x[0]; let mut outs=vec![];
        for i in 0..12usize {
            let wide = y.broadcast(&[i % 4 + 2, 5, 6]).matmul(x[1].broadcast(&[i % 4 + 2, 6, 6]));
            let small = wide.max(&[0]).tanh() + wide.sum(&[1]).slice(0, 1, 2);
            y = small.reshape(&[5, 6]).softmax();
            outs.push((format!("wide{i}"), wide)); outs.push((format!("small{i}"), small)); outs.push((format!("y{i}"), y));
        }
   let o:Vec<(&str,Tensor)>=outs.iter().map(|(a,t)|(a.as_str(),*t)).collect();
   let g=b.finish(&o).unwrap();
   let d=c.draw(9); let v:Vec<View>=d.iter().map(|d|d.view()).collect();
   let t=bounds(&g,&Params::new(),&v).unwrap();
   for (o,t) in outs.iter().zip(&t.outputs) { let w=t.iter().map(|t|t.error).fold(0.0,f64::max); let m=t.iter().map(|t|t.value.abs()).fold(0.0,f64::max); println!("{} {:e} {:e} {:?}",o.0,w,m,t[0]); }
  }
}
