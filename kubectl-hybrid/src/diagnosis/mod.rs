//! From facts to findings: pure checks that name a cause and a fix.
