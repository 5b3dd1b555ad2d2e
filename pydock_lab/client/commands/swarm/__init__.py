"""`swarm`, `node`, `service`, `stack`, `secret` and `config`: for engines that have a swarm."""
