#[test]
fn sizes() {
    use tinybt_core::dht::storage::Storage;
    type S = super::bounds::Eight;
    println!("SZ row {}", size_of::<tinybt_core::dht::node::SearchRow<S>>());
    println!("SZ lookup {}", size_of::<tinybt_core::dht::lookup::Lookup>());
    println!("SZ cand {}", size_of::<tinybt_core::dht::lookup::Candidate>());
    println!("SZ held {}", size_of::<tinybt_core::dht::held::Held<<S as Storage>::Found>>());
    println!("SZ found {}", size_of::<tinybt_core::dht::found::Found<<S as Storage>::Found>>());
    println!("SZ hop {}", size_of::<tinybt_core::dht::Hop>());
    println!("SZ census {}", size_of::<tinybt_core::dht::size::Census>());
    println!("SZ peers {}", size_of::<<S as Storage>::Peers>());
    println!("SZ table {}", size_of::<<S as Storage>::Table>());
    println!("SZ replies {}", size_of::<<S as Storage>::Replies>());
}
