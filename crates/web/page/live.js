// What runs only while it can be seen, and not by itself for those who want less motion.

/** A part that runs by a button: `frame` makes a frame and may take its time. */
export class Live {
  #wanted = false;
  #seen = true;
  #going = false;

  constructor(element, button, frame) {
    this.frame = frame;
    this.button = button;
    button.onclick = () => this.run(!this.#wanted);
    new IntersectionObserver(([entry]) => {
      this.#seen = entry.isIntersecting;
      this.#go();
    }).observe(element);
    document.addEventListener('visibilitychange', () => this.#go());
  }

  run(wanted) {
    this.#wanted = wanted;
    // What it does next is its name; a state beside it would say the opposite.
    const name = wanted ? 'Pause' : 'Run';
    this.button.textContent = name;
    this.button.setAttribute('aria-label', `${name} ${this.button.dataset.what}`);
    this.#go();
  }

  /** Runs by itself, unless the system is set to less motion. */
  begin() {
    this.run(!matchMedia('(prefers-reduced-motion: reduce)').matches);
  }

  async #go() {
    if (this.#going) return;
    this.#going = true;
    try {
      while (this.#wanted && this.#seen && !document.hidden) {
        const now = await new Promise(requestAnimationFrame);
        await this.frame(now);
      }
    } finally {
      this.#going = false;
    }
  }
}
