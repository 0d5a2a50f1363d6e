project      = "knowledge-repo"
environment  = "prod"
region       = "eu-central-1"
kube_context = "docker-desktop"

# What was pushed once stays what it is.
tag_mutability = "IMMUTABLE"
keep_images    = 200

services = {
  web = {
    port      = 3000
    node_port = 31300
    replicas  = 2
    non_root  = true
  }
  api = {
    port        = 3001
    node_port   = 31301
    replicas    = 2
    health_path = "/health"
    non_root    = true
  }
  search = {
    port        = 3100
    node_port   = 31310
    health_path = "/health"
    non_root    = true
  }
}
