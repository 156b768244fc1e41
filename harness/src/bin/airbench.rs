//! wip
use airbench_clock::Instant;
use airbench_world::*;
use airbench_trace::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let s = airbench::project::load(std::path::Path::new(&a[1]), a.get(2).and_then(|x| x.parse().ok()), &[]).unwrap();
    let secs: u64 = a[3].parse().unwrap();
    let setup = Setup::new(s, airbench_lte::Profile::load("cat1-good").unwrap());
    let mut w = World::new(&setup, Retention::Last(20));
    let mut c = Console::new(setup.epoch);
    let quiet = a.len() > 4;
    w.add_sink(move |e| if !quiet { if let Some(l) = c.line(e) { println!("{}", String::from_utf8_lossy(&l)); } else if e.source != Source::Console { println!("{e}"); } });
    let t = std::time::Instant::now();
    w.act(&Action::PowerOn).unwrap();
    if let Err(e) = w.run_until(Instant::from_millis(secs * 1000)) { println!("ERR {e}"); }
    println!("{:?} hash {} in {:?}", w.stats(), w.hash(), t.elapsed());
}
