//! Where each part comes from: found, cached, installed or built.
