export class MineMode {
  constructor(studio) {
    this.studio = studio;
  }
  enter() {}
  again() {}
}
