package activity

// Known counts the attempts that the pool knows by name.
func (p *Pool) Known() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.attempts)
}
