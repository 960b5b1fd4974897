export class MapMode {
  constructor(studio) {
    this.studio = studio;
  }
  enter() {}
  again() {}
}
