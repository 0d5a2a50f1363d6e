//! Which API is asked, seen by a proxy that is asked for the way there and refuses.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::api::Api;
use crate::home::Home;

/// A proxy that notes where each caller wants to go. It ends with the test.
struct Proxy {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                noted.lock().unwrap().push(first);
                while lines.next().is_some_and(|line| !line.is_empty()) {}
                let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
                let _ = (&stream).write_all(refusal);
            }
        });
        Self { url, asked }
    }

    /// Where all that called since the last time wanted to go.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.dedup();
        asked
    }
}

#[test]
fn the_api_of_the_table_is_called_and_told() {
    const PLAIN: &str = "111122223333.dkr.ecr.us-east-1.amazonaws.com";
    const FIPS: &str = "111122223333.dkr.ecr-fips.us-east-1.amazonaws.com";
    let ignored =
        "[default]\nendpoint_url = http://127.0.0.1:1\nignore_configured_endpoint_urls = true\n";
    let fips = "[default]\nuse_fips_endpoint = true\n";
    #[rustfmt::skip]
    let rows = [
        ("", PLAIN, "api.ecr.us-east-1.amazonaws.com"),
        ("", FIPS, "api.ecr-fips.us-east-1.amazonaws.com"),
        ("", "111122223333.dkr-ecr.us-east-1.on.aws", "ecr.us-east-1.api.aws"),
        ("", "111122223333.dkr-ecr-fips.us-east-1.on.aws", "ecr-fips.us-east-1.api.aws"),
        ("", "111122223333.dkr.ecr.eusc-de-east-1.amazonaws.eu", "api.ecr.eusc-de-east-1.amazonaws.eu"),
        ("", "111122223333.dkr.ecr.eusc-fr-east-1.amazonaws.eu", "api.ecr.eusc-fr-east-1.amazonaws.eu"),
        ("", "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn", "api.ecr.cn-north-1.amazonaws.com.cn"),
        ("", "public.ecr.aws", "api.ecr-public.us-east-1.amazonaws.com"),
        ("", "ecr-public.aws.com", "ecr-public.us-east-1.api.aws"),
        (ignored, FIPS, "api.ecr-fips.us-east-1.amazonaws.com"),
        (fips, PLAIN, "api.ecr-fips.us-east-1.amazonaws.com"),
    ];
    let proxy = Proxy::start();
    let home = Home::of(&Api::giving())
        .without("AWS_ENDPOINT_URL")
        .with("HTTPS_PROXY", &proxy.url);
    for (config, host, api) in rows {
        home.write(".aws/config", config);
        home.get(host);
        assert_eq!(proxy.asked(), [format!("CONNECT {api}:443 HTTP/1.1")]);
        let told = home.run(&["which", host], "").stdout;
        assert!(
            told.contains(&format!("asks      https://{api}\n")),
            "{told}"
        );
    }
}
