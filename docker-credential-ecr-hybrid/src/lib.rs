//! Amazon ECR tokens: which identity, which cache, which registry.
