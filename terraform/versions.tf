terraform {
  # Write-only arguments and the S3 lock file are final since 1.11, in OpenTofu too.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7"
    }
    kubernetes = {
      source = "hashicorp/kubernetes"
      # Secrets with write-only data fail on their first apply from 2.38 to 3.2.0.
      version = ">= 3.2.1, < 4"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Environment = var.environment
      ManagedBy   = "terraform"
      Project     = var.project
    }
  }
}

provider "kubernetes" {
  config_path    = var.kubeconfig
  config_context = var.kube_context
}
