export class MorphMode {
  constructor(studio) {
    this.studio = studio;
  }
  enter() {}
  again() {}
}
