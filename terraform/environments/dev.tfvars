project      = "knowledge-repo"
environment  = "dev"
region       = "eu-central-1"
kube_context = "docker-desktop"

# The tag of the workspace moves with each deploy.
tag_mutability = "MUTABLE"

services = {
  web = {
    port      = 3000
    node_port = 30300
    non_root  = true
  }
  api = {
    port        = 3001
    node_port   = 30301
    health_path = "/health"
    non_root    = true
  }
  search = {
    port        = 3100
    node_port   = 30310
    health_path = "/health"
    non_root    = true
  }
}
