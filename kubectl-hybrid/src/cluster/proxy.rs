//! Whether the environment's proxy is used for an API server.
//!
//! kubectl follows Go's rules: never a proxy for this machine itself, and none for what `NO_PROXY`
//! lists. The rules compare the API server's host. Source: Go `golang.org/x/net/http/httpproxy`.

use std::net::IpAddr;

/// True when requests to `host` go straight to it, whatever `HTTPS_PROXY` says.
///
/// `no_proxy` is the value of `NO_PROXY`: names, `.domains`, addresses and CIDR ranges, separated
/// by commas, or `*`.
pub(crate) fn is_bypassed(host: &str, port: Option<u16>, no_proxy: &str) -> bool {
    let host = bare(host);
    if host == "localhost" {
        return true;
    }
    let address: Option<IpAddr> = host.parse().ok();
    if address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    no_proxy
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .any(|entry| entry_covers(entry, &host, address, port))
}

fn entry_covers(entry: &str, host: &str, address: Option<IpAddr>, port: Option<u16>) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = entry.split_once('/') {
        return match (address, network.parse(), bits.parse()) {
            (Some(address), Ok(network), Ok(bits)) => in_range(address, network, bits),
            _ => false,
        };
    }
    let (name, wanted_port) = split_port(entry);
    if wanted_port.is_some() && wanted_port != port {
        return false;
    }
    let name = bare(name);
    if let Ok(wanted) = name.parse::<IpAddr>() {
        return address == Some(wanted);
    }
    let domain = name.trim_start_matches('*').trim_start_matches('.');
    if domain.is_empty() {
        return false;
    }
    // A leading dot covers the names below only; without it the name itself is covered as well.
    let below = host
        .strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.'));
    below || (host == domain && !name.starts_with(['.', '*']))
}

fn split_port(entry: &str) -> (&str, Option<u16>) {
    if entry.parse::<IpAddr>().is_ok() {
        return (entry, None);
    }
    match entry.rsplit_once(':') {
        Some((name, port)) => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        None => (entry, None),
    }
}

fn bare(host: &str) -> String {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .trim_end_matches('.')
        .to_ascii_lowercase()
}

fn in_range(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_passed_by_as_go_does() {
        let table = [
            ("127.0.0.1", "", true),
            ("localhost", "", true),
            ("LOCALHOST", "", true),
            ("[::1]", "", true),
            ("192.168.49.2", "", false),
            ("192.168.49.2", "192.168.49.0/24", true),
            ("192.168.50.2", "192.168.49.0/24", false),
            ("192.168.49.2", "10.0.0.0/8, 192.168.49.2", true),
            ("10.1.2.3", "0.0.0.0/0", true),
            ("fd00::1", "fd00::/8", true),
            ("fd00::1", "::/0", true),
            ("fd00::1", "10.0.0.0/8", false),
            ("api.corp.example", "corp.example", true),
            ("corp.example", "corp.example", true),
            ("corp.example", ".corp.example", false),
            ("api.corp.example", ".corp.example", true),
            ("api.corp.example", "*.corp.example", true),
            ("xcorp.example", "corp.example", false),
            ("api.corp.example", "*", true),
            ("api.corp.example", "corp.example:6443", true),
            ("api.corp.example", "corp.example:443", false),
            ("api.corp.example", ",, ,", false),
            ("api.corp.example", ".", false),
            ("10.1.2.3", "10.0.0.0/99", false),
        ];
        for (host, no_proxy, expected) in table {
            assert_eq!(
                is_bypassed(host, Some(6443), no_proxy),
                expected,
                "{host} with {no_proxy}"
            );
        }
    }
}
